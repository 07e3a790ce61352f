"""The one idea: samples → Reward → Signal, and what composes them. No heavy imports here."""
