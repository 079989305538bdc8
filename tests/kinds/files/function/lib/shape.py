def shape(value):
    return type(value).__name__
