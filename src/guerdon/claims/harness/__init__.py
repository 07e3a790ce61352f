"""What every claim is made of: hypothesis, arms, equal tuning, trials over seeds, intervals and a verdict."""
