"""Joining stores by utterance, pairing faces with voices, crops."""
