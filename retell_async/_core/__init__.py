"""What generated code stands on: operations, models, requests, answers, pages and errors."""
