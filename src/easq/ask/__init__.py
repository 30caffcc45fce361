"""The questionnaire: which views are asked, by which probability, and what becomes of an ask."""
