"""The data plane: output and metrics, too many bytes for the ledger."""
