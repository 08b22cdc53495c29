"""Contrastive face-voice encoders: faces and voices in one space.

Source of the method: Zhu et al., "Unsupervised Voice-Face Representation Learning by Cross-Modal Prototype Contrast"
(CMPC), IJCAI 2022.
"""
