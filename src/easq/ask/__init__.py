"""Decide which views get the questionnaire, deliver it, take the answer."""
