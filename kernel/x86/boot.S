/* SPDX-License-Identifier: MIT */
/*
 * From reset to C.
 *
 * boot_pvh: the loader enters here in 32-bit protected mode without paging, ebx = physical address of
 * its start information (the PVH boot protocol; the note names the address).  ap_start: a started
 * processor arrives in real mode at a copy of these few instructions below 1 MiB.  Both build or reuse
 * the boot table (the first 4 GiB at 0, in the direct map, and 1 GiB at KERNEL_BASE) and meet in
 * boot_long, which calls x86_boot(start) on the first processor and x86_ap(percpu) on the others.
 * The boot table is used until mmu_init, and by each started processor until its first C function;
 * then it is cleared.
 *
 * Another boot protocol needs an entry of its own that leaves its information in ebx and jumps to
 * boot_32.
 */
#include "asm.h"

#define PHYS(symbol) ((symbol) - KERNEL_BASE)

#define CR0_BITS 0x80010033 /* PG WP NE ET MP PE */
#define CR4_BITS 0x000006a0 /* PAE PGE OSFXSR OSXMMEXCPT */
#define MSR_EFER 0xc0000080
#define EFER_SCE 0x001
#define EFER_LME 0x100
#define EFER_NXE 0x800

	.section .note.pvh, "a", @note
	.balign 4
	.long	4		/* name */
	.long	8		/* value */
	.long	18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	PHYS(boot_pvh)

	.section .text.boot, "ax"
	.code32
	.globl	boot_pvh
boot_pvh:
	cli
	cld
boot_32:
	movl	$PHYS(boot_stack_low), %esp
	movl	%ebx, %esi

/* esi: start information, 0 on a processor started later. */
boot_protected:
	movl	$0x80000001, %eax
	cpuid
	btl	$29, %edx
	jnc	boot_refuse
	movl	$EFER_SCE | EFER_LME, %edi
	btl	$20, %edx
	jnc	1f
	orl	$EFER_NXE, %edi
1:	movl	$CR4_BITS, %eax
	movl	%eax, %cr4
	movl	$PHYS(boot_root), %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	%edi, %eax
	wrmsr
	movl	$CR0_BITS, %eax
	movl	%eax, %cr0
	lgdt	PHYS(boot_gdtr)
	ljmp	$KERNEL_CS, $PHYS(boot_long)

/* Not a 64-bit processor: say so on the first serial port. */
boot_refuse:
	movl	$PHYS(boot_refusal), %esi
	movw	$0x3f8, %dx
1:	lodsb
	testb	%al, %al
	jz	2f
	outb	%al, %dx
	jmp	1b
2:	hlt
	jmp	2b

	.code64
boot_long:
	movabsq	$1f, %rax
	jmpq	*%rax
1:	movl	$KERNEL_SS, %eax
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	xorl	%ebp, %ebp
	movl	%esi, %esi
	testq	%rsi, %rsi
	jz	boot_ap

	leaq	boot_stack(%rip), %rax
	movq	(%rax), %rsp
	movq	%rsi, %rdi
#ifdef KERNEL_KASAN
	pushq	%rdi
	pushq	%rdi
	call	kasan_early
	popq	%rdi
	popq	%rdi
#endif
	call	x86_boot
	ud2

boot_ap:
	movq	boot_ap_stack(%rip), %rsp
	movq	boot_ap_percpu(%rip), %rdi
	call	x86_ap
	ud2

/* Copied below 1 MiB; cs * 16 is its address. */
	.code16
	.globl	ap_start, ap_end
ap_start:
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	ap_gdtr - ap_start
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$0x18, $PHYS(ap_protected)
	.balign 4
ap_gdtr:
	.word	4 * 8 - 1
	.long	PHYS(boot_gdt)
ap_end:

	.code32
ap_protected:
	movl	$KERNEL_SS, %eax
	movl	%eax, %ds
	movl	%eax, %ss
	movl	%eax, %es
	xorl	%esi, %esi
	jmp	boot_protected

	.section .rodata
	.balign 8
boot_gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* KERNEL_CS, 64 bits */
	.quad	0x00cf93000000ffff	/* KERNEL_SS */
	.quad	0x00cf9b000000ffff	/* 32-bit code, on the way up */
boot_gdtr:
	.word	4 * 8 - 1
	.quad	PHYS(boot_gdt)
boot_refusal:
	.asciz	"aegis: this processor has no 64-bit mode\r\n"

	/* Four directories of 512 large pages map the first 4 GiB. */
	.data
	.balign 4096
	.globl	boot_root
boot_root:
	.quad	PHYS(boot_pointers) + 3
	.skip	255 * 8
	.quad	PHYS(boot_pointers) + 3
	.skip	254 * 8
	.quad	PHYS(boot_pointers_high) + 3
boot_pointers:
	.quad	PHYS(boot_directories) + 0x0003
	.quad	PHYS(boot_directories) + 0x1003
	.quad	PHYS(boot_directories) + 0x2003
	.quad	PHYS(boot_directories) + 0x3003
	.skip	508 * 8
boot_pointers_high:
	.skip	510 * 8
	.quad	PHYS(boot_directories) + 3
	.skip	8
boot_directories:
	.set	large, 0x83
	.rept	2048
	.quad	large
	.set	large, large + 0x200000
	.endr

	.bss
	.skip	64
boot_stack_low:

	.section .note.GNU-stack, "", @progbits
