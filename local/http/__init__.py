"""A small HTTP/1.1 client and server for the stand-ins of API Gateway and Lambda."""
