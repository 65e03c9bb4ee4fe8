/* The part of p11-kit's interface that GnuTLS calls, for a static program: Debian has no archive of
 * p11-kit, whose whole work is to load shared PKCS #11 modules, which a static program cannot. So
 * here is what p11-kit is where no module is configured: a list of modules that is empty, and no
 * URI that names one. Contracts: p11-kit/p11-kit.h, uri.h, pin.h. */
#include <p11-kit/p11-kit.h>
#include <p11-kit/pin.h>
#include <p11-kit/uri.h>
#include <stdlib.h>
#include <string.h>

/* Modules: an empty list, ended by NULL. */

CK_FUNCTION_LIST **p11_kit_modules_load(const char *reserved, int flags)
{
    (void)reserved, (void)flags;
    return calloc(1, sizeof(CK_FUNCTION_LIST *));
}

CK_FUNCTION_LIST *p11_kit_module_load(const char *path, int flags)
{
    (void)path, (void)flags;
    return NULL;
}

void p11_kit_module_release(CK_FUNCTION_LIST *module)
{
    (void)module;
}

CK_RV p11_kit_module_finalize(CK_FUNCTION_LIST *module)
{
    (void)module;
    return CKR_ARGUMENTS_BAD;
}

char *p11_kit_module_get_name(CK_FUNCTION_LIST *module)
{
    (void)module;
    return NULL;
}

int p11_kit_module_get_flags(CK_FUNCTION_LIST *module)
{
    (void)module;
    return 0;
}

char *p11_kit_config_option(CK_FUNCTION_LIST *module, const char *option)
{
    (void)module, (void)option;
    return NULL;
}

const char *p11_kit_message(void)
{
    return "a static program has no PKCS #11 modules";
}

const char *p11_kit_strerror(CK_RV rv)
{
    (void)rv;
    return p11_kit_message();
}

/* Fields of fixed length, padded with spaces. */

size_t p11_kit_space_strlen(const unsigned char *string, size_t max_length)
{
    while (max_length > 0 && string[max_length - 1] == ' ')
        max_length--;
    return max_length;
}

char *p11_kit_space_strdup(const unsigned char *string, size_t max_length)
{
    return strndup((const char *)string, p11_kit_space_strlen(string, max_length));
}

/* URIs: none can be had, which callers take for a lack of memory. */

P11KitUri *p11_kit_uri_new(void)
{
    return NULL;
}

void p11_kit_uri_free(P11KitUri *uri)
{
    (void)uri;
}

int p11_kit_uri_parse(const char *string, P11KitUriType type, P11KitUri *uri)
{
    (void)string, (void)type, (void)uri;
    return P11_KIT_URI_UNEXPECTED;
}

int p11_kit_uri_format(P11KitUri *uri, P11KitUriType type, char **string)
{
    (void)uri, (void)type, (void)string;
    return P11_KIT_URI_UNEXPECTED;
}

CK_INFO_PTR p11_kit_uri_get_module_info(P11KitUri *uri)
{
    (void)uri;
    return NULL;
}

CK_TOKEN_INFO_PTR p11_kit_uri_get_token_info(P11KitUri *uri)
{
    (void)uri;
    return NULL;
}

int p11_kit_uri_match_module_info(const P11KitUri *uri, const CK_INFO *info)
{
    (void)uri, (void)info;
    return 0;
}

int p11_kit_uri_match_token_info(const P11KitUri *uri, const CK_TOKEN_INFO *info)
{
    (void)uri, (void)info;
    return 0;
}

CK_ATTRIBUTE_PTR p11_kit_uri_get_attribute(P11KitUri *uri, CK_ATTRIBUTE_TYPE type)
{
    (void)uri, (void)type;
    return NULL;
}

CK_ATTRIBUTE_PTR p11_kit_uri_get_attributes(P11KitUri *uri, CK_ULONG *n)
{
    (void)uri;
    *n = 0;
    return NULL;
}

int p11_kit_uri_set_attribute(P11KitUri *uri, CK_ATTRIBUTE_PTR attribute)
{
    (void)uri, (void)attribute;
    return P11_KIT_URI_UNEXPECTED;
}

const char *p11_kit_uri_get_pin_value(const P11KitUri *uri)
{
    (void)uri;
    return NULL;
}

const char *p11_kit_uri_get_pin_source(const P11KitUri *uri)
{
    (void)uri;
    return NULL;
}

/* PINs: for tokens, of which there are none. */

P11KitPin *p11_kit_pin_new_for_string(const char *value)
{
    (void)value;
    return NULL;
}

void p11_kit_pin_unref(P11KitPin *pin)
{
    (void)pin;
}

const unsigned char *p11_kit_pin_get_value(P11KitPin *pin, size_t *length)
{
    (void)pin;
    if (length)
        *length = 0;
    return NULL;
}

size_t p11_kit_pin_get_length(P11KitPin *pin)
{
    (void)pin;
    return 0;
}

int p11_kit_pin_register_callback(const char *pin_source, p11_kit_pin_callback callback,
                                  void *callback_data, p11_kit_pin_destroy_func callback_destroy)
{
    (void)pin_source, (void)callback, (void)callback_data, (void)callback_destroy;
    return -1;
}

void p11_kit_pin_unregister_callback(const char *pin_source, p11_kit_pin_callback callback,
                                     void *callback_data)
{
    (void)pin_source, (void)callback, (void)callback_data;
}

P11KitPin *p11_kit_pin_request(const char *pin_source, P11KitUri *pin_uri,
                               const char *pin_description, P11KitPinFlags pin_flags)
{
    (void)pin_source, (void)pin_uri, (void)pin_description, (void)pin_flags;
    return NULL;
}

P11KitPin *p11_kit_pin_file_callback(const char *pin_source, P11KitUri *pin_uri,
                                     const char *pin_description, P11KitPinFlags pin_flags,
                                     void *callback_data)
{
    (void)pin_source, (void)pin_uri, (void)pin_description, (void)pin_flags, (void)callback_data;
    return NULL;
}
