"""The rules of the audit protocol; pure."""
