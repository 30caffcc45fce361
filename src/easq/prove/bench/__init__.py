"""Methods x worlds x seeds: run them, keep their rows, and say what they show."""
