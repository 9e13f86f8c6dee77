"""PostgreSQL: the pool, logins, stores, migrations, and their SQL."""
