"""What stands around a core: the UART link, the buses, their registers."""
