"""Makes a bucket and users of moto's S3 with few rights: ``moto_users.py ENDPOINT``.

Prints access keys as JSON, by name. From then on moto asks for rights.
"""

from __future__ import annotations

import json
import sys
import urllib.request

import boto3

READ, LIST, WRITE = "s3:GetObject", "s3:ListBucket", "s3:PutObject"
USERS = {"all": [READ, LIST, WRITE], "reader": [READ, LIST], "blind": [READ], "nobody": []}


def main() -> None:
    endpoint = sys.argv[1]
    known = {"aws_access_key_id": "setup", "aws_secret_access_key": "setup"}
    place = {"endpoint_url": endpoint, "region_name": "us-east-1", **known}
    boto3.client("s3", **place).create_bucket(Bucket="models")
    iam, keys = boto3.client("iam", **place), {}
    for name, actions in USERS.items():
        iam.create_user(UserName=name)
        if actions:
            statement = [{"Effect": "Allow", "Action": actions, "Resource": "*"}]
            policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        keys[name] = [made["AccessKeyId"], made["SecretAccessKey"]]
    plain = {"content-type": "text/plain"}  # of a form, moto would read nothing
    request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", b"0", plain)
    urllib.request.urlopen(request, timeout=60).close()
    print(json.dumps(keys))


if __name__ == "__main__":
    main()
