"""With //oci:copy_blobs a layout holds its blobs itself, those of the base, too."""

import hashlib
import os
import pathlib
import unittest


class CopiedTest(unittest.TestCase):
    def test_no_blob_leads_out_of_the_layout(self) -> None:
        blobs = sorted(pathlib.Path("tests/cases/packed_image/blobs/sha256").iterdir())
        self.assertEqual(len(blobs), 4)
        for blob in blobs:
            self.assertIn("/packed_image/blobs/sha256/", os.path.realpath(blob))
            self.assertEqual(hashlib.sha256(blob.read_bytes()).hexdigest(), blob.name)


if __name__ == "__main__":
    unittest.main()
