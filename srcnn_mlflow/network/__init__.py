"""What a network is, and how it runs over a picture of any size without torch.

A chain of convolutions by its name, the ONNX file it is kept in, what runs such a file, and the
networks that ship with the package. Nothing here imports torch or MLflow, or knows a data set.
"""
