"""Which faces and which voices belong to one person: protocols, figures and controls."""
