"""Campaigns that outlive their process: every step is written down before and after it is done."""
