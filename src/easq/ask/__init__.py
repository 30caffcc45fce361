"""The questionnaire: which views are asked, with which probability, and what becomes of an ask."""
