"""From events to examples to arrays: joining, encoding, batching, profiles."""
