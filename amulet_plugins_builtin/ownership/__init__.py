"""Unauthorized model ownership: thieves of models, and what lets owners recognise their own."""
