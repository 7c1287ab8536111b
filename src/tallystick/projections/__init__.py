"""Tables that answer questions; each can be rebuilt from the ledger."""
