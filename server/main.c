/* mobilenetd: the one binary. Picks the sub-command. */
#include <stdio.h>

int main(void)
{
    puts("mobilenetd");
    return 0;
}
