"""Operations: what clients must know of each route, its parameters, body and answers."""
