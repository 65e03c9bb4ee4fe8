/* libjpeg-turbo alone: `bare DENOMINATOR FILE…` decodes each whole picture to RGB rows, 16 at a
 * time into one buffer, and does nothing with them. For each line "SECONDS" on its standard input
 * it runs for so long and answers "median min", ms a picture, so that the driver can take turns. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jpeglib.h>

enum { ROWS = 16, MAX_ROUNDS = 4096 };

struct file {
    unsigned char *bytes;
    size_t len;
    double ms[MAX_ROUNDS];
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static double decode(const struct file *f, unsigned denominator)
{
    static unsigned char *rows;
    static size_t room;
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    double start = now();
    c.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&c);
    jpeg_mem_src(&c, f->bytes, f->len);
    jpeg_read_header(&c, TRUE);
    c.scale_num = 1;
    c.scale_denom = denominator;
    c.out_color_space = JCS_RGB;
    jpeg_start_decompress(&c);
    size_t pitch = (size_t)c.output_width * 3;
    if (pitch * ROWS > room) {
        room = pitch * ROWS;
        rows = realloc(rows, room);
        if (!rows)
            exit(1);
    }
    JSAMPROW pointers[ROWS];
    for (int i = 0; i < ROWS; i++)
        pointers[i] = rows + pitch * (size_t)i;
    while (c.output_scanline < c.output_height)
        jpeg_read_scanlines(&c, pointers, ROWS);
    jpeg_finish_decompress(&c);
    jpeg_destroy_decompress(&c);
    return now() - start;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int n = argc - 2;
    struct file *files = n > 0 ? calloc((size_t)n, sizeof(*files)) : NULL;
    double seconds;
    if (!files)
        return 2;
    unsigned denominator = (unsigned)strtoul(argv[1], NULL, 10);
    for (int i = 0; i < n; i++) {
        FILE *f = fopen(argv[i + 2], "rb");
        if (!f || fseek(f, 0, SEEK_END) < 0)
            return 1;
        files[i].len = (size_t)ftell(f);
        rewind(f);
        files[i].bytes = malloc(files[i].len);
        if (!files[i].bytes || fread(files[i].bytes, 1, files[i].len, f) != files[i].len)
            return 1;
        fclose(f);
        decode(&files[i], denominator);
    }
    puts("ready");
    fflush(stdout);
    while (scanf("%lf", &seconds) == 1) {
        double end = now() + seconds * 1e3, median = 0, min = 0;
        int rounds = 0;
        do {
            for (int i = 0; i < n; i++)
                files[i].ms[rounds] = decode(&files[i], denominator);
        } while (++rounds < MAX_ROUNDS && now() < end);
        for (int i = 0; i < n; i++) {
            qsort(files[i].ms, (size_t)rounds, sizeof(double), by_value);
            median += files[i].ms[rounds / 2] / n;
            min += files[i].ms[0] / n;
        }
        printf("%f %f\n", median, min);
        fflush(stdout);
    }
    return 0;
}
