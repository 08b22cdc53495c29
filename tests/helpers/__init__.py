"""What tests share: small inputs made in a moment, stand-ins for networks, and packages of other people."""
