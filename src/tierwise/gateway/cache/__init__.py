"""The response cache: answers kept, and given again to the same request of the same tenant."""
