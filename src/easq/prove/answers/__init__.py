"""Who is asked and who answers: funnel, validity, the response model."""
