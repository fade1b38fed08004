/* SPDX-License-Identifier: MIT */
/*
 * Linux terminal ABI: termios, window size, ioctl numbers.
 *
 * Owns the layouts and numbers through which programs talk to terminals, as the kernel (not a C
 * library) defines them: TCGETS moves 36 bytes with 19 control characters, TCGETS2 adds two speeds.
 *
 * 1. Layouts are pinned below; test/host/abi_test.c compares them with a host's kernel headers.
 */
#ifndef EXOS_LINUX_ABI_TTY_H
#define EXOS_LINUX_ABI_TTY_H

#include <stddef.h>
#include <stdint.h>

#define LX_NCCS 19

struct lx_termios {
	uint32_t c_iflag;
	uint32_t c_oflag;
	uint32_t c_cflag;
	uint32_t c_lflag;
	uint8_t c_line;
	uint8_t c_cc[LX_NCCS];
};

struct lx_termios2 {
	uint32_t c_iflag;
	uint32_t c_oflag;
	uint32_t c_cflag;
	uint32_t c_lflag;
	uint8_t c_line;
	uint8_t c_cc[LX_NCCS];
	uint32_t c_ispeed;
	uint32_t c_ospeed;
};

/* The System V form of TCGETA: 16-bit flags and eight control characters. */
struct lx_termio {
	uint16_t c_iflag;
	uint16_t c_oflag;
	uint16_t c_cflag;
	uint16_t c_lflag;
	uint8_t c_line;
	uint8_t c_cc[8];
};

struct lx_winsize {
	uint16_t ws_row;
	uint16_t ws_col;
	uint16_t ws_xpixel;
	uint16_t ws_ypixel;
};

_Static_assert(sizeof(struct lx_termios) == 36, "kernel struct termios");
_Static_assert(offsetof(struct lx_termios, c_cc) == 17, "kernel struct termios");
_Static_assert(sizeof(struct lx_termios2) == 44, "kernel struct termios2");
_Static_assert(offsetof(struct lx_termios2, c_ispeed) == 36, "kernel struct termios2");
_Static_assert(sizeof(struct lx_termio) == 18, "struct termio");
_Static_assert(offsetof(struct lx_termio, c_cc) == 9, "struct termio");
_Static_assert(sizeof(struct lx_winsize) == 8, "struct winsize");

/* Indices in c_cc. */
#define LX_VINTR    0
#define LX_VQUIT    1
#define LX_VERASE   2
#define LX_VKILL    3
#define LX_VEOF     4
#define LX_VTIME    5
#define LX_VMIN     6
#define LX_VSWTC    7
#define LX_VSTART   8
#define LX_VSTOP    9
#define LX_VSUSP    10
#define LX_VEOL     11
#define LX_VREPRINT 12
#define LX_VDISCARD 13
#define LX_VWERASE  14
#define LX_VLNEXT   15
#define LX_VEOL2    16

/* c_iflag */
#define LX_IGNBRK  0x0001
#define LX_BRKINT  0x0002
#define LX_IGNPAR  0x0004
#define LX_PARMRK  0x0008
#define LX_INPCK   0x0010
#define LX_ISTRIP  0x0020
#define LX_INLCR   0x0040
#define LX_IGNCR   0x0080
#define LX_ICRNL   0x0100
#define LX_IUCLC   0x0200
#define LX_IXON    0x0400
#define LX_IXANY   0x0800
#define LX_IXOFF   0x1000
#define LX_IMAXBEL 0x2000
#define LX_IUTF8   0x4000

/* c_oflag */
#define LX_OPOST  0x00001
#define LX_OLCUC  0x00002
#define LX_ONLCR  0x00004
#define LX_OCRNL  0x00008
#define LX_ONOCR  0x00010
#define LX_ONLRET 0x00020
#define LX_OFILL  0x00040
#define LX_OFDEL  0x00080
#define LX_NLDLY  0x00100
#define LX_CRDLY  0x00600
#define LX_TABDLY 0x01800
#define LX_TAB0   0x00000
#define LX_TAB1   0x00800
#define LX_TAB2   0x01000
#define LX_TAB3   0x01800
#define LX_XTABS  0x01800
#define LX_BSDLY  0x02000
#define LX_VTDLY  0x04000
#define LX_FFDLY  0x08000

/* c_cflag */
#define LX_CBAUD   0x0000100f
#define LX_B0      0x00000000
#define LX_B9600   0x0000000d
#define LX_B38400  0x0000000f
#define LX_B115200 0x00001002
#define LX_CSIZE   0x00000030
#define LX_CS5     0x00000000
#define LX_CS6     0x00000010
#define LX_CS7     0x00000020
#define LX_CS8     0x00000030
#define LX_CSTOPB  0x00000040
#define LX_CREAD   0x00000080
#define LX_PARENB  0x00000100
#define LX_PARODD  0x00000200
#define LX_HUPCL   0x00000400
#define LX_CLOCAL  0x00000800
#define LX_CBAUDEX 0x00001000
#define LX_BOTHER  0x00001000
#define LX_CIBAUD  0x100f0000
#define LX_CMSPAR  0x40000000
#define LX_CRTSCTS 0x80000000

/* c_lflag */
#define LX_ISIG    0x00001
#define LX_ICANON  0x00002
#define LX_XCASE   0x00004
#define LX_ECHO    0x00008
#define LX_ECHOE   0x00010
#define LX_ECHOK   0x00020
#define LX_ECHONL  0x00040
#define LX_NOFLSH  0x00080
#define LX_TOSTOP  0x00100
#define LX_ECHOCTL 0x00200
#define LX_ECHOPRT 0x00400
#define LX_ECHOKE  0x00800
#define LX_FLUSHO  0x01000
#define LX_PENDIN  0x04000
#define LX_IEXTEN  0x08000
#define LX_EXTPROC 0x10000

/* Arguments of TCSETATTR-like library calls, TCXONC and TCFLSH. */
#define LX_TCOOFF    0
#define LX_TCOON     1
#define LX_TCIOFF    2
#define LX_TCION     3
#define LX_TCIFLUSH  0
#define LX_TCOFLUSH  1
#define LX_TCIOFLUSH 2

/* ioctl requests */
#define LX_TCGETS         0x5401
#define LX_TCSETS         0x5402
#define LX_TCSETSW        0x5403
#define LX_TCSETSF        0x5404
#define LX_TCGETA         0x5405
#define LX_TCSETA         0x5406
#define LX_TCSETAW        0x5407
#define LX_TCSETAF        0x5408
#define LX_TCSBRK         0x5409
#define LX_TCXONC         0x540a
#define LX_TCFLSH         0x540b
#define LX_TIOCEXCL       0x540c
#define LX_TIOCNXCL       0x540d
#define LX_TIOCSCTTY      0x540e
#define LX_TIOCGPGRP      0x540f
#define LX_TIOCSPGRP      0x5410
#define LX_TIOCOUTQ       0x5411
#define LX_TIOCSTI        0x5412
#define LX_TIOCGWINSZ     0x5413
#define LX_TIOCSWINSZ     0x5414
#define LX_TIOCMGET       0x5415
#define LX_TIOCMBIS       0x5416
#define LX_TIOCMBIC       0x5417
#define LX_TIOCMSET       0x5418
#define LX_FIONREAD       0x541b
#define LX_TIOCINQ        0x541b
#define LX_TIOCLINUX      0x541c
#define LX_TIOCCONS       0x541d
#define LX_TIOCGSERIAL    0x541e
#define LX_TIOCPKT        0x5420
#define LX_FIONBIO        0x5421
#define LX_TIOCNOTTY      0x5422
#define LX_TIOCSETD       0x5423
#define LX_TIOCGETD       0x5424
#define LX_TCSBRKP        0x5425
#define LX_TIOCSBRK       0x5427
#define LX_TIOCCBRK       0x5428
#define LX_TIOCGSID       0x5429
#define LX_TCGETS2        0x802c542a
#define LX_TCSETS2        0x402c542b
#define LX_TCSETSW2       0x402c542c
#define LX_TCSETSF2       0x402c542d
#define LX_TIOCGPTN       0x80045430
#define LX_TIOCSPTLCK     0x40045431
#define LX_TIOCGDEV       0x80045432
#define LX_TIOCVHANGUP    0x5437
#define LX_TIOCGPTPEER    0x5441
#define LX_FIONCLEX       0x5450
#define LX_FIOCLEX        0x5451
#define LX_FIOASYNC       0x5452
#define LX_FIOQSIZE       0x5460
#define LX_TIOCGLCKTRMIOS 0x5456
#define LX_TIOCSLCKTRMIOS 0x5457

#endif
