#!/usr/bin/env perl
# Every ```c block in README.md, in docs/*.md and in the prose of densenet.h compiles
# without a warning. A block is a whole program (it has main; it is linked too), a
# source file (it begins with a preprocessor line), or statements, as inside main.
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Temp qw(tempdir);

chdir dirname(__FILE__) . "/.." or die;
my $work = tempdir("densenet-test.XXXXXX", TMPDIR => 1, CLEANUP => 1);
my $cc = $ENV{CC} || "cc";
my $flags = "-std=c99 -Wall -Wextra -Werror -Wno-unused -Wno-unused-parameter -I.";
my $count = 0;

for my $file ("README.md", "densenet.h", sort glob "docs/*.md") {
    next unless -e $file;
    open my $in, "<", $file or die "$file: $!";
    my ($block, $start, $prose) = (undef, 0, $file ne "densenet.h");
    while (my $line = <$in>) {
        $line =~ s/\r?\n$/\n/;
        if ($file eq "densenet.h" and not defined $block) {
            $prose = 1 if $line eq "/*\n";
            $prose = 0 if $line eq "*/\n";
        }
        if (defined $block) {
            if ($line =~ /^ {0,3}```\s*$/) {
                check($file, $start, $block);
                undef $block;
            } else {
                $block .= $line;
            }
        } elsif ($prose and $line =~ /^ {0,3}```\s*c\s*$/) {
            ($block, $start) = ("", $. + 1);
        }
    }
    die "$file:$start: the block has no end" if defined $block;
}
$count > 0 or check("README.md", 1, "#error there is no sample at all\n");
print "1..$count\n";

sub check {
    my ($file, $line, $code) = @_;
    my ($kind, $how) = ("statements", "-fsyntax-only");
    if ($code =~ /\bmain\s*\(/) {
        ($kind, $how) = ("a program", "-o $work/program");
    } elsif ($code =~ /\A(\s|\/\*.*?\*\/)*#/s) {
        $kind = "a source file";
    }
    my $source = "$work/sample.c";
    open my $out, ">", $source or die;
    if ($kind eq "statements") {
        print $out "#include \"densenet.h\"\n#include <math.h>\n#include <stdio.h>\n",
            "#include <stdlib.h>\n#include <string.h>\nint main(void) {\n",
            "#line $line \"$file\"\n", $code, "return 0;\n}\n";
    } else {
        print $out "#line $line \"$file\"\n", $code;
    }
    close $out;
    my $said = `$cc $flags $how $source -lm 2>&1`;
    my $good = $? == 0;
    $count++;
    print $good ? "ok" : "not ok", " $count - $file:$line, $kind\n";
    my @lines = split /\n/, $said;
    print map { "#   $_\n" } splice @lines, 0, 10 unless $good;
}
