"""``make test-deploy``: the proof that ``cdk deploy --all`` makes an Axon that works.

The real application goes to an emulator of AWS (``emulator``) with permissions enforced, clients
use it through the deployed functions and queues, a second deployment changes nothing, and none of
it is left when it is destroyed. Containers run as processes here, with the environment and the role
of their task definitions; what ``emulator/refused.py`` lists is not proved.
"""
