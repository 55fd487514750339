"""The exact skip-gram field and what is made of its parameters: embeddings in and out, their quality, hard debias."""
