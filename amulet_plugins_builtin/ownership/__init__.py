"""Unauthorized model ownership: thieves, what they achieve, and how owners recognise their models."""
