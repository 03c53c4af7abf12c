"""The built-in architectures: no BatchNorm, normalisation inside, hidden features within reach."""
