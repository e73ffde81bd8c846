"""What replicas of one deployment share through Valkey: limits, and who asks what."""
