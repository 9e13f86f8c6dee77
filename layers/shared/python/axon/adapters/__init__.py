"""The only modules that import boto3, redis, psycopg, aiohttp or httptools."""
