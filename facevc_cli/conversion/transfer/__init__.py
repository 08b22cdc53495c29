"""What a conversion takes from a recording besides its voice embedding."""
