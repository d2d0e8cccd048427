"""The Python part of Sterna's worker: start-up, loading, odd answers, logs. The native part is
`_sterna`."""
