"""ECS tasks: clusters, containers, images, capacity and scaling."""
