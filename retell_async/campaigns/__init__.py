"""Campaigns: many people, called by rules, each attempt once, over days."""
