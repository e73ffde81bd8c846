"""How good an answer is: scorers, assertions, code that runs, judges and how far they are believed."""
