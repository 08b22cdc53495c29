"""The networks of XFaVoT: one kind of generator, encoder and discriminator for pictures and for log-mels."""
