"""The steps of one run: train, predict, score; each checks what is done already and writes its result last."""
