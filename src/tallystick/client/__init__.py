"""The SDK: Tallystick's HTTP contract as Python calls; nothing but the standard library."""
