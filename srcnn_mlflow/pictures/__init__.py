"""From files to planes and patches: what the experiment learns from and is measured on.

Picture files are decoded here and turned into luma, data sets are found and split, and what
training reads is prepared. Nothing here imports torch or MLflow, or knows what a network is.
"""
