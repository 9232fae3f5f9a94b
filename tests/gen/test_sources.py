"""`gen.sources`: another program is another digest."""

from gen.sources import sources_digest


def test_the_digest_of_sources_is_that_of_names_and_contents(tmp_path):
    def digest(name, **files):
        for file, text in files.items():
            path = tmp_path / name / file.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return sources_digest("gen", "hw", root=tmp_path / name)

    first = digest("first", gen__a_py="1", gen__b_py="2", hw__core__c_v="3")
    assert digest("same", gen__a_py="1", gen__b_py="2", hw__core__c_v="3", hw__a_pyc="7", host__d_py="8") == first
    others = [
        digest("content", gen__a_py="1", gen__b_py="3", hw__core__c_v="3"),
        digest("verilog", gen__a_py="1", gen__b_py="2", hw__core__c_v="4"),
        digest("name", gen__a_py="1", gen__x_py="2", hw__core__c_v="3"),
        digest("cut", gen__a_py="12", gen__b_py="", hw__core__c_v="3"),
    ]
    assert len({first, *others}) == 5
