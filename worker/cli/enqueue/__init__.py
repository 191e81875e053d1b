"""Operations from a shell or a file: how a command reads and enqueues them."""
