"""Tests of ocilib.compression, zstd and layer. Frames were made with zstd 1.5.4; their content is stated beside them."""

import base64
import contextlib
import glob
import gzip
import hashlib
import io
import unittest

from ocilib import compression, layer, zstd
from ocilib.jsontext import JsonError

# Content: none; 60 random bytes; 200,000 zeros; words; skewed bytes; words at another level. Each with its size and SHA-256.
FRAMES = {
    "empty": (
        ("D77#BBme;b0Ga97Q2"),
        0,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ),
    "raw": (
        ("D77#B09fGx0C>CCw*C$mcz*J7>gr-HkA2^v%$XVgp<6K{CUzIiH8W?mdcux{8Tyw06P*ksX+7uv4XJI#SOuprU;"),
        60,
        "f10c5320449a726772749ee8623898427f8372659bd761a1adc3674113dbfb38",
    ),
    "rle": (
        ("D77#B1Xxr601yBG0Ra2|Iluw~Y6t+t>2z="),
        200000,
        "4cbbd9be0cba685835755f827758705db5a413c5494c34262cd25946a73e7582",
    ),
    "text": (
        (
            "D77#B1ZcG(0K&!%53rjKKgkx@w%r+qseGV}->R**uD4a!)wO%8w>=onPyor{G(&L+In6*E3Xm|v10cmgC`&Mb`KVE!Bs<#yAqc`y"
            "7}M5L4-p^;g%E|PGKd-zAxTn@blFkJJbFi8dBA=}TrrfV&f_LQ@T0SKFRHG2!ryWF-6z=}=17J>8V-HBmYD`W2jeiu@bx7n8fLZ7"
            "gxP9HEY<+DBBD75Q#u?8>`Zp&!dpgerd<qisi8SQ3~Hf{0zZX7UClFgm(AAT<69F}=umosB&NG`17&Tfx&9eq(qPwd_Ax#%2u_}("
            "FAz#S1I%cUP;j}2YOw|c+m-WiMN!wvB-Z^fcnu}2uEc{NmolF}=N1$U!JKy`4+Z$tSAhRX5qwESZM8YilR8wo|Av2@{{hro43fD|"
            "1IQ;?r6M-L&Ix-Qj7-x?4Yt-o*$SOUd;{x)4RlJaj>)1Buk{R1ab&})sB!&0EZMpG9JJ@7yTb~tC@(FVnJ)77QPBn0D`9gI(}FE;"
            "YIn2uEMaL3dC)HWxw=iT?7mc&TN%071d6#w=LVPM-iC-!Hf6XfEeD@*nf~qQRazsPh$uIq;9Btr<(~AGAsIE(-$n>8A#G3mFC&!="
            "yz^(Vm3M@H9oN$;MADfsMBNMTB3xpZl}L!0ASbXK9eV=-M@!|`-K?M3fa&j&>+gF@1<J5yv#<=P*rLONmqQCLkJdlgUvE*qKGf()"
            "cc(LW8g?8}>MdE15`#Jreg2=tJ@MNREeOK5vrJdZB*#Ox%Fr{g!|^+RMJU9!kTjYBq*Oo;H)h)0;zDbt)=@Z`eTqBTM#&MvL%$~?"
            "Uwo{KAgj88)JIdkEv>Ja$yloOoEtKNE}V>(*|eA&rKUMV(Qugyst3Xj-SD{w-^9vV?sw%@b=vfKj1OMi6LEqx)bd7D&qt|ICEG0;"
            "T(-<4PJ@JC*;85O-{Mf)AQe1E#wwM0aX7*&`JeAQ<oyq|Ap|6uwicCeY3GH4x!G!1edN>?I(G?cFJfTf$jSC3c#3|HIWhBdH8|z^"
            "oI?*+3jTtU%R()(9WF_tmeLnJ6Cf~?gl7r#yX?=vSJYWm^;VD#&XDF88Y8%2r<|?@%&yWw&FolY^6{^zEbsFK{h={*zxMmUDy2`$"
            "Rb}rjej5s>Rd{Wbv_kH7nar$H&Nx;>-d>zTBzaWXAgf>xG2pEkE#X90)-ms7%EEcYt|IF^3XNc<W!KpZIC1oN{wKwHi(I^KgR2RU"
            "r?vN$18kD{v^ZYwg?AJxZAtXtNeAU9tCDbL9(Nhtm4Y5_R}aN&kThgK>3?fcG0Ml(TJs57w7?r&28}*zS7bm@^ViId!=Q*Pf!o*<"
            "^mc6|eon~cd|h@wyU_N8g?lJ8*xiONFe}hFcZL~6QZQQP*S)x6NglV<v0_!oaeS`"
        ),
        6898,
        "237c074288175fd8b3d2fe4131f3617652bf2b2446e0af65c3bb946e1144328c",
    ),
    "huffman": (
        (
            "D77#B1X%Sw0E)Zh9xcF*XzM77q5vxj45k3w_H4sVUcqNMsK4qbRW~Lo20lK9Mf^Y6?h@0Rl9FWG0pS7Y0sd$x^=jO$N&9NoLJZ=#"
            "MEl-sf|4^cYqc$s1UcduAFk21tEjT_Vt8f*0~I{HYqlOfF%+=(B%YMZ5odxAS6HP-YTyP42QRELsdB5g&YSi{XuP7;S)vf6cp1M("
            "aaRI`O%BcpF6z+1AlW#ojMWySR=<_cp4oQU1Y;J7{2q}Fz}c0LSZ(A}<QJN22esITL*;{>;>~#Xd=ouJ%{`Ma#l2GG35;RM&#|It"
            "Q5fn`bupzV30;aO^c5OS0$ZBwR&o-YJGO2VvZvcx3k)MKxy$5!xo9E7S_6|H{{6FVZ=AB>vClN}h=^2P6rU+^^^pw<gFx(x*F9gv"
            "bw-C~(iQ!@1EI`AAZb<dvIeDdcoOz{G{3Rm>@Sg~x^hmn2Urm={SciL(q0ud5=otl2rY0TNJ6xumZXfb(r?ZFu=Hv=_d}NBMR&vI"
            "H$^V@{{TA8sl^ot3Cd<M0okjAQEt%**aWQfkd~;Pm28Y5gcHY@KX;#OVo?v>{&RvfXM3&^w4D9fpu3Vbmbx8V-Kh7dDy_cee1uFH"
            "HuiGMoxF0JakNIwl;$U#RTF0~v?MV$8l4X}d6{V#;sTo76IL@ZV}Vogr^7Pu1@i0JF|rd&jZp*IOlt%AO>s>OT8^eeYX<WX6mN-+"
            "V6<PZOy7BaaR2~FF_XBB@)E<*mUJo$(q1rC(j;R$mVF~ia4G25WRh!_!?fL!lZ0k6<cCd9RSHE*H~JMnlw}4>ix)`<dYF}~am0PG"
            "8jNJE?!R5#kJcL7ChR-x>V<10&C7QcQ5uN*QC6M3469`hmD=?Dv7cTNs&XQXel97Odn;5S5>59+4xEIwqJKPN(_RpQn-Bvf>IGew"
            "1Ef_)R0UAUIhi{f28yZc6_`GrIkd;zaZzj@H4WEbp+yVxWmpS)(v-=t;IvdDezPh$+@inODBm)rI~a^wY9(a65$$Dkx51*ZSd!-d"
            "Hizi-LjRIKh3BJXx4-xofqnlr2j>oJL!fQIPL-b&JqaPzms56frLmQXNUo*y^Tt?-2M9Iitv8X0IM-qrx6EPNL=A%@mVaSnp2)M7"
            "z9G<3O`4U$76lmQV4e7HtjVTj2c8ElAaz8|P;?opD9^0Mh(!J^MNeHPb?1byD^PjJaitxFq?syO{pQAl(E^V4HUlm0oIQRGR4dg2"
            "ynlEt7BT!Zhf3b^;c<r31x4zFK1F8Xgr2Sgl+gT1OOUYu(@ieu!lVwuAV6>{mi4GPv7DZtGBCTP0uuK2?7{H4#XaSaDzxPI{t|$+"
            "4b4+RJMpZN^0m!KUUIoLG!=qyR+1VQRwNAwlWyXt%9H6$Xb|)iqBc|)T7hY_NnXXF2{h>Rz*J;Wz!PRmlZ~Z1&kS0<rGw8#gRPK+"
            "!wESk^9E-72~UH<f?8Smx}|Tyz{FOqM9LEg3ecFQ+2YEDy*-3@<;%oCs-eqL9CfS>rI1Y&9E!23+rG5NUZ4;YDL!6{tcOiiN)8Vs"
            "=is@kI+hI%bwjU8v}h#Oge~FfM;wOjbr&}K%Ug4TZRgMJk#ZSkSg~TwV8-)EuFH_BGK^4)#6!DE88Z__r`IzE-Ca%P4xTkdigWdr"
            "2)*iTEx|VTJdE<&392Ofz|G?$G4y0ETZ+RGoP$#i#n&Nn%whkV--q&w&KB^*nLna4VNj@sBJgUjrc`#;v;>dWsyqvoN>oUswOj>t"
            "EEEgDj}(uPtDD_+p&Dzqmy2W={l}KCgSAkd?AQonEjg;sgtJNvF$}M=#JE{R)JW)UD%GL`(O9F(qI@bGSlbBMe|^{F04{Yx;|w4`"
            "5+X@6SLQKxARt62+m|hk$WN1olO!+*OeSs^QbB66E4}ig7Xlz=WZjmZYx>yLB!h|6<%OV@J*RcDsV=M*vz&sSLyJcL`n%l!o%U8R"
            "cg8yif=h%cswyuwwUBZ0F640na?v-lVv#X?++eAojuIu-+ZY&b&Wx!THy2G!W`r?75Il4*EWAvq*2c|=da)E~`7<D`_7rjWuJQ*="
            ";uKe$Ta{s)9G~G?1bJ-<lO40O&zmey)%zlNbW36dD@t@Y#<rSn46G8Rq&NaQv9RkYb&Ss-rG?n0C7a};=aiLMW~Qi7wo;QVO)3z`"
            "5Ev0b7_FH|*|{#pGG?qUOn1FyJF8I#){y)_C4}}s!ny5C(@F!|?EjP6_LPD=3|2&$i(q?FQet6}`rc**!%kuv*dH&n6Oq3E*{M)m"
            "NZD^dEk6}A4&*MSR18c$x7lYdDB5f`L~PJdw{q!>9}0q)gA*>E9q1XF423<<zRVM`Oi5~ztcdm3-P;(}OnYvflLF&1jREp88K`X0"
            "SJvgcEfBHCvyP7iM5De(!KirX=N-m?23*tNx)g@Wkv00roKrrh?6@u!6j2Tsln6|uh0TUtK7ujZKJkw;s#RMZdQJ@nj&`i}oZ+L;"
            "QOPQlD3RqUY_aU~7g;1k%n#sYFbnrpC?p;UJuN+L|HDx}5BA2zPhGEU+YN^!y(ohxCvI!Qj~p7*W=axLUl-PAz5xKmTQ3^"
        ),
        3000,
        "1872fd42bdc52669e315a124f7c4f61d33984fb8ced1947c8522f73adc0d2814",
    ),
    "fast": (
        (
            "D77#B1W3&?03;J2V{dL|X=iL<d1Z2KVQy(=Wpi{2Y+-q2a%5>|Wpi|CZDD6+bZBKDX>DO=WeRLzd1Z16bZBKDAarPDX>DO=Wo%)2"
            "WpZp`d1Z163Lpv!WNBw*b0BPCd1Z2AZ*FF3XCP^9VP|DyZ*FF3XK8I=XJsI4VR>b8bZBKDY+-q2a&%}4Y+-q2a%pX0XJrZ?X>DO="
            "Wgu)}d1Z2KVRUF^ARu&TWgv8DWgsAQXk{RDXk{P@APQ_@d1Z2GZDD6+3LtD@APOJ~bZBKD3Lpv~bZBKDAarPDAPRJ7WgrR)3Lqc~"
            "ARr(LAarPDbZBKD3T$C{WpWC1Xk{R6VQgV}WpWA%APNc!ARu&TWgrS5bZBKDbZBKDAarPDARr)gXk{P@V{dL|X=fm0X=i0~bb}D6"
            "@-C5CkR;ie15yZDM5GCu?luxYAV@Kk^HSYNl2jT4+CsVQY7gr5^IB%y#C#EQMqM)ST^K5Jo+)CO)E=XbjQR1*qqlc_N)H_1*3h#<"
            "UpO&sz)?oPfJA%enk=d3m+Hq@MrPUe!$%|YdF8L2e=m<<&aIIJkqaklIL#+mrtRkoG_Ux;U=%VGJA?0O<+sTaYUC%0p;O-a?*;*O"
            "1gR#3<MOO_7x0N<&y)=vjf$b(^vlv537}J5!{Z?_x!kJ`qyf)f2Lpz{CK0<KWPGa{+IBQLFK71Y#*Sj6fKt&V^G@q-P)PJ@%2;My"
            "E2<~7q^P3vXvKUZKfjqvp7)KdqsFVm>Row{7=wcP`Q0QS0%TM|=4op1rzpifinHrFWBFPU44~aN!3NU>1urxDu5@!#3=Pg<1Ih8D"
            "l<PxEW8d&mG3kp$Guo!%9o9U=DF6iBJ2Yt2P;lG={^>*x*ry^fpd(lZ3Ue|`tZ@aJYDSdD?f`P+99ACyOZ1JVrDP<+1)<nXV<{b2"
            "+HSDd<iLX{krM<yAe9Qtcxhn(NHSvIWed{t6`RN$`Y&g0nqNsuZz$n;(gWeHkym|NALBN^m%4#%;byY5=&6B%uhd35=@BPNe=qE~"
            "X+i@6y68T*;M;yZWdvN<+LF~IW(M*Ty=~!qnv~gTS;23o(QlBc1slV<!in5<k-34$O75Vhr%_Ni8Yl{CIL(-prQtR7D-z!72($(u"
            "c2)AH8!Y9(`&ei=uRZ!=C-Aev@V}3b7(9rs&m#jYqCUjY{sHy5vHD{Wb7(2}d~|l0!=Vn&B2l@AlX^uri5moW8R%j8&6Zqlf(^T1"
            ";;5CkiB2PDMSd&?qOc4?nl__oU7Q4&j~kGs67|+O`wC&I(^rtAi`?~RU8lL>C*I)-9rQ?+cO+L>-cJQRa2*ndQXxN&5zt;HUa`}m"
            "a<dTn79iS|Nc`HOAM9{3fF~6+KsQU=zE_|+A-ul!7*vf*R0B6eA_r2l(+@ZlLS(*hp`1p6?jHGS1Le}y#G6}kbBUVV8OymyK_R@$"
            "pbP5?NZBJ!eD*V#;BxO(Q&_~lU||2gkRsiInn?u5AgBKbHcc-UiDM19Ru_>WU7{&h#Mca8?CGhX3Hb^50!W2!*By=XhX?}9dFa-<"
            "Hb<53#{fRX8l)^F1Lr65N*LmDZb@s<9bFm23uxSNf=C83FdW=(M5ot@oHq6@HNGk9Vr$j;7VKL;C=_x}iX}-KlZNvkLbN3uM6r>("
            "1chB44``BjaoVEVh=X_0=uG54fsCiHKsxdu83_e}Yv(R{UADO#rc76pTo97qPTy3N_w34?BSwzNgc{7^y!}PMplkp)%svJwxDB`%"
            "(+%|EpcQru04QM;zKGUuX1FV>C^I!J_R^%L*wC$Q1bY;ry)R(nGkk(dnu1Yh)oRJfHH3M>h^LuORPBSI3VM+mJFRHpc<O+ghw%m?"
            "@kv(_9Ho5IdjUx;^qsunTt)&aK7*up3jAylNYMK+@jI!Sgb<o0^v^;!Xg}@>aJO4+<^$z*0xckDRiOV|a~UdzhR7hl=4Cxs=))fS"
            "4o^uye%xjFKt^<A(h0sHcnp$!p727HgkTA=^ZzmSR$Zo9KaX6uTV9C_abpG|-7hF>qLow9*IeRAL#58Vag&+7)eb-!pqH1}&fCLp"
            "e?n`7ax2S18)4n1!$xnnNlHox#!F>FVJ%s11^avWrB=vse6I"
        ),
        6898,
        "237c074288175fd8b3d2fe4131f3617652bf2b2446e0af65c3bb946e1144328c",
    ),
}


def _unzstd(data: bytes) -> bytes:
    return b"".join(zstd.decompress(io.BytesIO(data).read))


class ZstdTest(unittest.TestCase):
    def test_frames_of_every_kind_decode(self) -> None:
        for name, (frame, size, sha256) in FRAMES.items():
            with self.subTest(name=name):
                content = _unzstd(base64.b85decode(frame))
                self.assertEqual((len(content), hashlib.sha256(content).hexdigest()), (size, sha256))

    def test_frames_follow_one_another_and_some_are_skipped(self) -> None:
        text = base64.b85decode(FRAMES["text"][0])
        skippable = b"\x53\x2a\x4d\x18\x05\0\0\0abcde"
        once = _unzstd(text)
        self.assertEqual(_unzstd(skippable + text + skippable + text), once + once)

    def test_every_damage_is_noticed(self) -> None:
        frame = base64.b85decode(FRAMES["text"][0])
        content = _unzstd(frame)
        for at in range(4, len(frame), 7):
            damaged = bytearray(frame)
            damaged[at] ^= 0x10
            # A few bits of a header mean nothing, so that the content may still come.
            with self.subTest(at=at), contextlib.suppress(zstd.ZstdError):
                self.assertEqual(_unzstd(bytes(damaged)), content)
        for length in range(1, len(frame), 13):
            with self.subTest(length=length), self.assertRaises(zstd.ZstdError):
                _unzstd(frame[:length])

    def test_no_data_is_no_frame(self) -> None:
        for data in (b"", b"abcd", b"\x28\xb5"):
            with self.assertRaises(zstd.ZstdError):
                _unzstd(data)

    def test_a_window_beyond_the_commands_limit_is_refused(self) -> None:
        with self.assertRaisesRegex(zstd.ZstdError, "window"):
            _unzstd(zstd.MAGIC + b"\x00\xff" + b"\x01\0\0")


class GzipTest(unittest.TestCase):
    def _gunzip(self, data: bytes) -> bytes:
        return b"".join(compression.decompress(io.BytesIO(data), "gzip", "x.gz"))

    def test_members_follow_one_another(self) -> None:
        self.assertEqual(self._gunzip(gzip.compress(b"a" * 1_000_000) + gzip.compress(b"b")), b"a" * 1_000_000 + b"b")

    def test_damage_is_one_line_with_the_name(self) -> None:
        whole = gzip.compress(bytes(range(256)) * 100)
        for data, message in (
            (whole[:-1], "x.gz: truncated gzip data"),
            (whole[:20], "x.gz: truncated gzip data"),
            (whole + b"\0\0\0\0", "x.gz: data after the end"),
            (whole[:-8] + b"\0\0\0\0" + whole[-4:], "x.gz: damaged gzip data"),
        ):
            with self.subTest(message=message), self.assertRaisesRegex(compression.CompressionError, message):
                self._gunzip(data)

    def test_parts_stay_small_whatever_comes_out(self) -> None:
        parts = list(compression.decompress(io.BytesIO(gzip.compress(bytes(50_000_000))), "gzip", "x.gz"))
        self.assertLessEqual(max(map(len, parts)), 1 << 18)


def _library(name: str) -> list[str]:
    return sorted(glob.glob(f"/lib/*/{name}.so.1") + glob.glob(f"/usr/lib/*/{name}.so.1"))[:1]


class CompressTest(unittest.TestCase):
    """With the libraries of the machine, where it has them: what counts here is that they are called rightly."""

    def setUp(self) -> None:
        self.content = bytes(range(256)) * 3000 + hashlib.sha256(b"").digest() * 20_000

    def _compress(self, kind: str, size: int) -> bytes:
        library = _library({"gzip": "libz", "zstd": "libzstd"}[kind])
        if not library:
            self.skipTest(f"no library for {kind} on this machine")
        parts = (self.content[at : at + size] for at in range(0, len(self.content), size))
        return b"".join(compression.compress(parts, kind, library))

    def test_gzip_comes_back_and_has_no_name_and_time(self) -> None:
        data = self._compress("gzip", 70_000)
        self.assertEqual(gzip.decompress(data), self.content)
        self.assertEqual(data[:10], bytes.fromhex("1f8b0800000000000003"))

    def test_zstd_comes_back_through_both_decoders(self) -> None:
        data = self._compress("zstd", 70_000)
        self.assertEqual(_unzstd(data), self.content)
        for library in _library("libzstd"):
            decoded = compression.decompress(io.BytesIO(data + data), "zstd", "x.zst", library)
            self.assertEqual(b"".join(decoded), self.content * 2)
            for damaged in (data[:-1], data[:100], data[:1000] + b"xxxx" + data[1004:], b"abcd"):
                with self.assertRaisesRegex(compression.CompressionError, "x.zst: "):
                    list(compression.decompress(io.BytesIO(damaged), "zstd", "x.zst", library))

    def test_bytes_do_not_depend_on_how_the_input_comes(self) -> None:
        for kind in ("gzip", "zstd"):
            self.assertEqual(self._compress(kind, 1 << 18), self._compress(kind, 1000))

    def test_without_the_library_the_error_names_the_flag(self) -> None:
        for kind in ("gzip", "zstd"):
            with self.assertRaisesRegex(compression.CompressionError, "oci:compressors"):
                compression.compress([b""], kind, ["/lib/libother.so.1"])


class DescribeTest(unittest.TestCase):
    def _describe(self, data: bytes) -> tuple[str, bool]:
        described = layer.describe(io.BytesIO(data), "x")
        self.assertEqual(described.digest, "sha256:" + hashlib.sha256(data).hexdigest())
        self.assertEqual(described.size, len(data))
        return described.compression, described.diff_id == described.digest

    def test_compression_is_found_by_content(self) -> None:
        frame = base64.b85decode(FRAMES["text"][0])
        self.assertEqual(self._describe(b"tar or not"), ("", True))
        self.assertEqual(self._describe(gzip.compress(b"x")), ("gzip", False))
        self.assertEqual(self._describe(frame), ("zstd", False))
        self.assertEqual(self._describe(b""), ("", True))

    def test_the_diff_id_is_of_the_content(self) -> None:
        described = layer.describe(io.BytesIO(gzip.compress(b"abc")), "x")
        self.assertEqual(described.diff_id, "sha256:" + hashlib.sha256(b"abc").hexdigest())

    def test_damaged_zstandard_is_a_layer_as_it_is_and_damaged_gzip_an_error_as_upstream_has_it(self) -> None:
        frame = base64.b85decode(FRAMES["text"][0])
        self.assertEqual(self._describe(frame[:-1]), ("", True))
        with self.assertRaises(compression.CompressionError):
            self._describe(gzip.compress(b"abc")[:-1])

    def test_a_descriptor_file_reads_back(self) -> None:
        described = layer.describe(io.BytesIO(gzip.compress(b"abc")), "x")
        again = layer.from_json(described.to_json().encode(), "x")
        self.assertEqual(again.to_json(), described.to_json())
        with self.assertRaisesRegex(JsonError, "not the descriptor of a layer"):
            layer.from_json(b'{"digest":1}', "x")


if __name__ == "__main__":
    unittest.main()
