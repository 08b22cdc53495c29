"""XFaVoT: pictures of faces and speech from one style space; each guided by a face, by a voice or by noise.

The paper's shapes and losses in our own code. A picture and a log-mel go through networks of one kind: a generator that
keeps the content and takes a style, a style encoder, and a discriminator. A mapping network draws styles for both.
"""
