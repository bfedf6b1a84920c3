"""What the client without `await` is made of: an event loop in a thread, and pages, answers and resources that wait for it."""
